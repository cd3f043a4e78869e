"""The look: system fonts, quiet surfaces, one restrained accent. Light and dark follow the system."""

import gradio as gr

_FONTS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Helvetica Neue", "Arial", "sans-serif")
_CODE_FONTS = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")

_TEAL = gr.themes.Color(c50="#eef7f8", c100="#d8ecef", c200="#b3d9df", c300="#82bfc9", c400="#4b9eac", c500="#227f8f",
                        c600="#146b7a", c700="#115764", c800="#124752", c900="#123b45", c950="#08252d", name="calm")
_INK = gr.themes.Color(c50="#f7f9fa", c100="#eff2f4", c200="#dfe5e8", c300="#c5ced3", c400="#93a0a8", c500="#66747d",
                       c600="#4c5962", c700="#37434b", c800="#222c33", c900="#171f25", c950="#0f151a", name="ink")


def theme() -> gr.themes.Base:
    """The theme object that `launch` gets. No font or style is fetched from anywhere."""
    base = gr.themes.Base(primary_hue=_TEAL, secondary_hue=_TEAL, neutral_hue=_INK, font=_FONTS, font_mono=_CODE_FONTS,
                          radius_size=gr.themes.sizes.radius_md, text_size=gr.themes.sizes.text_md,
                          spacing_size=gr.themes.sizes.spacing_md)
    return base.set(
        body_background_fill="*neutral_50", body_background_fill_dark="*neutral_950",
        body_text_color="*neutral_900", body_text_color_dark="*neutral_100",
        body_text_color_subdued="*neutral_600", body_text_color_subdued_dark="*neutral_400",
        block_background_fill="white", block_background_fill_dark="*neutral_900",
        block_border_color="*neutral_200", block_border_color_dark="*neutral_800",
        block_border_width="1px", block_border_width_dark="1px", block_shadow="none", block_radius="10px",
        block_label_background_fill="transparent", block_label_background_fill_dark="transparent",
        block_label_border_width="0px", block_label_text_color="*neutral_600",
        block_label_text_color_dark="*neutral_400", block_title_text_color="*neutral_800",
        block_title_text_color_dark="*neutral_200", block_title_text_weight="550",
        block_info_text_color="*neutral_600", block_info_text_color_dark="*neutral_400",
        border_color_primary="*neutral_200", border_color_primary_dark="*neutral_800",
        input_background_fill="*neutral_50", input_background_fill_dark="*neutral_950",
        input_border_color="*neutral_300", input_border_color_dark="*neutral_700", input_border_width="1px",
        input_border_color_focus="*primary_500", input_border_color_focus_dark="*primary_400",
        input_shadow_focus="0 0 0 2px *primary_200", input_shadow_focus_dark="0 0 0 2px *primary_800",
        slider_color="*primary_500", slider_color_dark="*primary_400",
        checkbox_background_color_selected="*primary_600", checkbox_background_color_selected_dark="*primary_500",
        checkbox_border_color_selected="*primary_600", checkbox_border_color_selected_dark="*primary_500",
        button_primary_background_fill="*primary_600", button_primary_background_fill_dark="*primary_600",
        button_primary_background_fill_hover="*primary_700", button_primary_background_fill_hover_dark="*primary_500",
        button_primary_text_color="white", button_primary_text_color_dark="white",
        button_primary_border_color="transparent", button_primary_border_color_dark="transparent",
        button_secondary_background_fill="white", button_secondary_background_fill_dark="*neutral_800",
        button_secondary_background_fill_hover="*neutral_100",
        button_secondary_background_fill_hover_dark="*neutral_700",
        button_secondary_border_color="*neutral_300", button_secondary_border_color_dark="*neutral_700",
        button_secondary_text_color="*neutral_800", button_secondary_text_color_dark="*neutral_100",
        button_border_width="1px", button_large_text_weight="600", button_medium_text_weight="500",
        button_large_radius="8px", button_medium_radius="8px", button_small_radius="6px",
        link_text_color="*primary_600", link_text_color_dark="*primary_300",
    )
